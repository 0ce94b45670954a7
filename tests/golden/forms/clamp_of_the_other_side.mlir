// Form `clamp_of_the_other_side`: The same scores transposed, and the second clamp under the row maximum, which no score meets.
// Read as: full, key padding, 4 heads, row term, clamped to at least -9, scale 0.3
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, score_min = -9.0, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[2,4,37,41],f32>, !torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,63],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,37,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,63],i1>) -> !torch.vtensor<[2,4,37,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,37,40],f32>) -> !torch.vtensor<[2,4,40,37],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,37],f32> -> !torch.vtensor<[2,4,63,37],f32>
    %float3.000000e-01 = torch.constant.float 3.000000e-01
    %2 = torch.aten.mul.Scalar %1, %float3.000000e-01 : !torch.vtensor<[2,4,63,37],f32>, !torch.float -> !torch.vtensor<[2,4,63,37],f32>
    %3 = torch.aten.max %2 : !torch.vtensor<[2,4,63,37],f32> -> !torch.vtensor<[],f32>
    %int0 = torch.constant.int 0
    %4 = torch.aten.unsqueeze %3, %int0 : !torch.vtensor<[],f32>, !torch.int -> !torch.vtensor<[1],f32>
    %int1 = torch.constant.int 1
    %5 = torch.aten.unsqueeze %4, %int1 : !torch.vtensor<[1],f32>, !torch.int -> !torch.vtensor<[1,1],f32>
    %int2 = torch.constant.int 2
    %6 = torch.aten.unsqueeze %5, %int2 : !torch.vtensor<[1,1],f32>, !torch.int -> !torch.vtensor<[1,1,1],f32>
    %int3 = torch.constant.int 3
    %7 = torch.aten.unsqueeze %6, %int3 : !torch.vtensor<[1,1,1],f32>, !torch.int -> !torch.vtensor<[1,1,1,1],f32>
    %int-1 = torch.constant.int -1
    %8 = torch.aten.mul.Scalar %7, %int-1 : !torch.vtensor<[1,1,1,1],f32>, !torch.int -> !torch.vtensor<[1,1,1,1],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %9 = torch.aten.to.dtype %8, %int6, %false, %false, %none : !torch.vtensor<[1,1,1,1],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,1,1],f32>
    %int4 = torch.constant.int 4
    %int37 = torch.constant.int 37
    %10 = torch.prim.ListConstruct %int2, %int4, %int37, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %11 = torch.aten.expand %9, %10, %false : !torch.vtensor<[1,1,1,1],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,37,1],f32>
    %12 = torch.aten.mul.Scalar %arg0, %float3.000000e-01 : !torch.vtensor<[2,4,37,40],f32>, !torch.float -> !torch.vtensor<[2,4,37,40],f32>
    %13 = torch.prim.ListConstruct %12, %11 : (!torch.vtensor<[2,4,37,40],f32>, !torch.vtensor<[2,4,37,1],f32>) -> !torch.list<vtensor>
    %14 = torch.aten.cat %13, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,37,41],f32>
    %15 = torch.prim.ListConstruct %int0, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
    %str = torch.constant.str "constant"
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %16 = torch.aten.pad %arg1, %15, %str, %float1.000000e00 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int>, !torch.str, !torch.float -> !torch.vtensor<[2,4,63,41],f32>
    %17 = torch.aten.logical_not %arg2 : !torch.vtensor<[2,63],i1> -> !torch.vtensor<[2,63],i1>
    %int63 = torch.constant.int 63
    %18 = torch.prim.ListConstruct %int-1, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %19 = torch.aten.expand %17, %18, %false : !torch.vtensor<[2,63],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,63],i1>
    %20:2 = torch.operator "torch.hyper.attention"(query = %14, key = %16, value = %arg1, key_mask = %19, score_min = -9.0, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[2,4,37,41],f32>, !torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,63],i1>) -> (!torch.vtensor<[2,4,37,40],f32>, !torch.vtensor<[2,4,37],f32>) 
    return %20#0 : !torch.vtensor<[2,4,37,40],f32>
  }
}
