// Form `bare_exponentials_of_a_fill`: A row of finite fills alone is 0 / 0 here, where softmax gives the mean of all values.
// Read as: full, key padding, 4 heads, scale 0.125
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, scale = 0.125, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,63],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,63,40],f32>, %arg1: !torch.vtensor<[3,4,63,40],f32>, %arg2: !torch.vtensor<[3,63],si64>, %arg3: !torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,63,40],f32> {
    %int0 = torch.constant.int 0
    %0 = torch.aten.ne.Scalar %arg2, %int0 : !torch.vtensor<[3,63],si64>, !torch.int -> !torch.vtensor<[3,63],i1>
    %int-1 = torch.constant.int -1
    %int63 = torch.constant.int 63
    %1 = torch.prim.ListConstruct %int-1, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %2 = torch.aten.expand %0, %1, %false : !torch.vtensor<[3,63],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,63],i1>
    %3:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %arg0, value = %arg3, key_mask = %2, scale = 0.125, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,63],i1>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    return %3#0 : !torch.vtensor<[3,4,63,40],f32>
  }
}
