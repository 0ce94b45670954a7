// Near miss `clamp_below_the_largest_of_some` of `clamp_below_the_largest`: The largest of some of the scores: others meet the upper bound.
// Read as: full, 4 heads, row term, clamped to [-3, 0], scale 0.3
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, score_min = -3.0, score_max = 0.0, algorithm = "exact") : (!torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %float3.000000e-01 = torch.constant.float 3.000000e-01
    %2 = torch.aten.mul.Scalar %1, %float3.000000e-01 : !torch.vtensor<[2,4,63,63],f32>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %int2 = torch.constant.int 2
    %int0 = torch.constant.int 0
    %int9 = torch.constant.int 9
    %int1 = torch.constant.int 1
    %3 = torch.aten.slice.Tensor %2, %int2, %int0, %int9, %int1 : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,9,63],f32>
    %4 = torch.aten.max %3 : !torch.vtensor<[2,4,9,63],f32> -> !torch.vtensor<[],f32>
    %5 = torch.aten.unsqueeze %4, %int0 : !torch.vtensor<[],f32>, !torch.int -> !torch.vtensor<[1],f32>
    %6 = torch.aten.unsqueeze %5, %int1 : !torch.vtensor<[1],f32>, !torch.int -> !torch.vtensor<[1,1],f32>
    %7 = torch.aten.unsqueeze %6, %int2 : !torch.vtensor<[1,1],f32>, !torch.int -> !torch.vtensor<[1,1,1],f32>
    %int3 = torch.constant.int 3
    %8 = torch.aten.unsqueeze %7, %int3 : !torch.vtensor<[1,1,1],f32>, !torch.int -> !torch.vtensor<[1,1,1,1],f32>
    %int-1 = torch.constant.int -1
    %9 = torch.aten.mul.Scalar %8, %int-1 : !torch.vtensor<[1,1,1,1],f32>, !torch.int -> !torch.vtensor<[1,1,1,1],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %10 = torch.aten.to.dtype %9, %int6, %false, %false, %none : !torch.vtensor<[1,1,1,1],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,1,1],f32>
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %11 = torch.prim.ListConstruct %int2, %int4, %int63, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten.expand %10, %11, %false : !torch.vtensor<[1,1,1,1],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,1],f32>
    %13 = torch.aten.mul.Scalar %arg1, %float3.000000e-01 : !torch.vtensor<[2,4,63,40],f32>, !torch.float -> !torch.vtensor<[2,4,63,40],f32>
    %14 = torch.prim.ListConstruct %13, %12 : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,1],f32>) -> !torch.list<vtensor>
    %15 = torch.aten.cat %14, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,63,41],f32>
    %16 = torch.prim.ListConstruct %int0, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
    %str = torch.constant.str "constant"
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %17 = torch.aten.pad %arg0, %16, %str, %float1.000000e00 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int>, !torch.str, !torch.float -> !torch.vtensor<[2,4,63,41],f32>
    %18:2 = torch.operator "torch.hyper.attention"(query = %15, key = %17, value = %arg2, score_min = -3.0, score_max = 0.0, algorithm = "exact") : (!torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %18#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
